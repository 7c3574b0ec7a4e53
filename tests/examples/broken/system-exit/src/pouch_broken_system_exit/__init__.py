"""It ends the process when it is imported."""

raise SystemExit("I end whoever imports me")
