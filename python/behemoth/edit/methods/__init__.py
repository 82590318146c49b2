"""One small file a method; `behemoth.edit.registry` knows their names."""
