"""The slow level: finished episodes become better adapters.

An `update` makes lessons of episodes (`dataset`, `material`, `lessons`, priced by `rewards`) and
learns from them (`trainer` by the `objectives`, or `practice` by fresh answers; `meta` at two
levels) in the `policy` network. `judging` decides what is served. All of it happens in the process
of `background`. The adapter that ships was made by `corpus` and `fim_training`.
"""
