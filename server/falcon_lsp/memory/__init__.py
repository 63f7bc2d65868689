"""What is remembered: the ledger (the truth), short-term and long-term memory."""
