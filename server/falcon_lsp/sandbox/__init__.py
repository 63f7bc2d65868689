"""Model-written programs run here: in a process that can reach next to nothing, or not at all."""
