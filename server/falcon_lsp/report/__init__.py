"""The learning report: what was suggested, taken, learned and kept; gathered once, shown."""
