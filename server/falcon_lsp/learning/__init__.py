"""The slow level: rewards, training, the gate, and the process they run in."""
