"""What the benchmarks share: data, decoding in batches, sandboxed execution, scores, intervals."""
