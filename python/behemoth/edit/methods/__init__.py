"""One small file per method: its defaults, its objective or equation, and its `MethodInfo`."""
