"""Language models behind one protocol: weights, tokenizers, adapters, engines."""
