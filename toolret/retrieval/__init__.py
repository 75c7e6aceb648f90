"""From a conversation to a selection: the steps, the snapshots they read, and the policy."""
