"""Other people's clients against the engine."""
