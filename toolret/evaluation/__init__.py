"""Measure retrieval quality: runs over labelled requests, metrics, reports."""
