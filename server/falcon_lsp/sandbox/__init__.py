"""Execution of model-written code, where it is allowed at all."""
