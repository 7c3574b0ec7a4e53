"""The Linux kernel as Pouch and its plugins use it: system calls by concern, one module each."""
