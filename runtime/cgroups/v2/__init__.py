"""Controllers of cgroup v2: one module each, with ``settings(resources)`` → (file, value, what it is)."""
