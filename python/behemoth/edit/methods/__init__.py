"""One small file a method: its defaults, its objective or equation, and what it says of itself."""
