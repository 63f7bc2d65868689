"""Editing sessions as LSP messages: recorded from real editors, or simulated; and their replay."""
