"""The policy network of training: a base with an adapter, run over packed sequences."""
