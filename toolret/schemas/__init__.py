"""JSON Schemas of arguments: what is in them, and a form that providers accept."""
