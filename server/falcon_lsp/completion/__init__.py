"""From a question of the editor to suggestions: the hot path."""
