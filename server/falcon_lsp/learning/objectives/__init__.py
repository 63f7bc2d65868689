"""What training minimises, each formula on tensors alone so that it can be checked by hand.

Shapes everywhere: B sequences, K last positions of each (answer tokens and, left of them, prompt
tokens that the mask hides), V words of the vocabulary. Log-probabilities are natural. A mask is 1.0
on the tokens that are trained: prompt and padding never are.
"""
