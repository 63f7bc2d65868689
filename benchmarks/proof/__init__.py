"""The ablation: which part of FALCON helps, on holes that tests judge."""
