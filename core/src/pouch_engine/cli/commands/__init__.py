"""The commands, one operation or family in each module: functions of (client, options) that return the exit code."""
