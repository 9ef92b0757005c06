"""Registries: pull and push by the OCI distribution specification, over http.client."""
