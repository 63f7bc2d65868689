"""How the adapter that ships was trained to fill in the middle."""
