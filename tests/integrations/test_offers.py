"""What a model is offered over the turns."""

from langchain_core.messages import AIMessage, HumanMessage

from toolret.integrations.offers import called_names, names_to_offer, refusal


def test_called_names_are_read_from_every_form() -> None:
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "a"}}]},
        {"type": "function_call", "name": "b", "arguments": "{}", "call_id": "2"},
        AIMessage("", tool_calls=[{"name": "c", "args": {}, "id": "3"}]),
        HumanMessage("x"),
        {"role": "assistant", "tool_calls": [{"id": "4", "function": {"name": "a"}}]},
        {"role": "assistant", "tool_calls": "nonsense"},
    ]
    assert called_names(messages) == ("a", "b", "c")


def test_what_was_offered_stays_where_it_stood() -> None:
    assert names_to_offer(["b", "a"], ["c"], ["d", "a"], {"a", "b", "c", "d"}) == (
        "b",
        "a",
        "c",
        "d",
    )


def test_what_is_not_known_is_never_offered() -> None:
    assert names_to_offer(["gone", "a"], ["forbidden"], ["b"], {"a", "b"}) == ("a", "b")


def test_a_refusal_names_what_can_be_called() -> None:
    assert refusal("x", ["b", "a"]).endswith("Available: a, b")
    assert refusal("x", []).endswith("Available: none")
    assert refusal("x", None).endswith("not available now")
