"""The HTTP edge: Docker's Engine API on a unix socket, and /pouch for what docker has no name for.

Data goes one way: a request is read (`queries`, `create_body`, `requests`), the engine is asked on a thread
(`workers`), and its records are shown in docker's words (`views`). One module for each resource has the routes.
"""
