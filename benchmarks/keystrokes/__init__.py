"""A recorded typing session, replayed to this server and to llama.cpp's, and what it shows."""
