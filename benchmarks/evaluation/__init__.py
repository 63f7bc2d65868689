"""What the benchmarks share: data, decoding in batches, guarded execution, scores, intervals."""
