"""Image configuration and request → OCI runtime spec (opencontainers/runtime-spec, config.md)."""
