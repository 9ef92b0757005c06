"""Controllers of cgroup v1: one module each, with ``settings(resources)`` → (file, value, what it is)."""
