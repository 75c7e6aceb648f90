"""Texts: what tools, requests and names say, before anything is compared."""
