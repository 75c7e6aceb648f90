"""Rank the tools of an index for a request: from comparisons to the log-odds of each tool.

A request passes through four modules:

1. ``comparer`` compares it with everything that is indexed: with the tools' texts, and with the
   demonstrations through ``demo_maps``. The result is ``comparisons.Comparisons``.
2. ``evidence`` chooses the candidates and makes one row of features for each of them, by
   ``text_evidence`` and ``demo_evidence``.
3. ``weighing`` makes log-odds of the features, with the weights that ``fitting.Fit`` chooses by
   ``familiarity``.
4. ``need`` tells, again as ``fitting.Fit`` chooses, whether the request needs a tool at all.

``learning`` finds the ``Fit`` of an index, which ``fitting`` learns from its demonstrations. The
other modules hold one method each. ``docs/ranking.md`` gives the reasons and the measurements.

Words that have one meaning in this package:

query
    One reading of a request. Query 0 is the request itself, the others are its clauses or what an
    LLM made of it. A query has two vectors, one to compare with tools and one to compare with
    demonstrations.
use
    One tool in one demonstration.
set
    All the tools that a demonstration uses. Demonstrations that use the same tools share a set.
layout
    The vectors of the index and its uses and sets: all that is the same for every request.
asked
    A demonstration is asked when it serves as a request whose tools are known, to learn from.
left out
    A demonstration is left out of what a request is compared with when it is being asked, or is
    nearly a copy of one that is.
heard
    A demonstration is heard if it counts as evidence for this request. Where demonstrations as a
    whole are heard or speak of a request, that is a matter of degree: see familiarity.
aligned
    A query's vector is aligned when it has been moved to where the demonstrations suggest that the
    tools for it lie.
trend
    The linear part of what demonstrations predict: ridge regression on all of them.
kriging
    What the nearest demonstrations predict, by regression with a kernel; the trend predicts from
    what they leave unexplained of the query. Values that come of both are called kriged.
signal
    A kind of evidence that is shown to users, such as ``dense`` or ``name``: a group of features.
feature
    One number about one candidate: a column of the rows that are weighed.
candidates
    The tools that some signal puts forward, as being among its first. Only these are ranked.
familiarity
    The probability that the demonstrations have something to say about a request. The more familiar
    a request is, the more what was learnt from them counts, rather than the tools' texts alone.
need
    Whether a request needs any tool.
idle
    A request is idle if it needs no tool, and a demonstration if it is labelled with none.
"""
