"""From a request compared with everything that is indexed to the log-odds of each tool.

``comparer`` compares, ``evidence`` gathers what each signal says, ``weighing`` and ``need`` make it
probabilities, and ``fitting`` learns their weights; the others each hold one method.
"""
