"""Replay: a history typed again through the real server, without and with what it learns."""
