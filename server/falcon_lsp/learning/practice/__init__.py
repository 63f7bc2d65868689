"""On-policy learning: fresh answers to settled places, judged and learned from."""
