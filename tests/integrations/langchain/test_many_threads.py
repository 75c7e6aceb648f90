"""One agent, one middleware, fifty users at once: each has what is theirs and nothing else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from tests.integrations.langchain.conftest import THINGS, VERBS
from tests.integrations.langchain.scripted_agent import Wanted, agent_of, offered, wants
from tests.runners import RecordingRunner
from toolret import Toolbox, ToolRetriever
from toolret.integrations.langchain import ToolRetrieverMiddleware
from toolret.testing import OpenAIServer

# LangChain's ``ModelRequest`` silences this warning about its own constructor by
# ``warnings.catch_warnings``, which threads undo for each other.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Direct attribute assignment to ModelRequest:DeprecationWarning"
)

USERS = 50


@dataclass(frozen=True)
class User:
    number: int

    @property
    def verb(self) -> str:
        return VERBS[self.number % len(VERBS)]

    @property
    def turns(self) -> list[str]:
        """Two things to do with the user's verb, in an order of the user's own."""
        first = self.number // len(VERBS) % len(THINGS)
        return [
            f"{self.number}: {self.verb} the {THINGS[(first + i) % len(THINGS)]}" for i in (0, 1)
        ]

    def plan(self) -> dict[str, Wanted]:
        plans: dict[str, Wanted] = {}
        for text in self.turns:
            _, verb, _, thing = text.split()
            plans[text] = [(f"{verb}_{thing}", {"id": text})]
        return plans

    @property
    def config(self) -> Any:
        return {"configurable": {"thread_id": f"user {self.number}"}}


def requests_of(server: OpenAIServer, user: User) -> list[dict[str, Any]]:
    """The requests of a user, who says a number first."""
    said = set(user.turns)
    return [r for r in server.requests if any(m["content"] in said for m in r["messages"])]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_fifty_users_at_once(
    few: ToolRetriever,
    few_toolbox: Toolbox,
    echo: RecordingRunner,
    saver: InMemorySaver,
    asynchronous: bool,
) -> None:
    users = [User(number) for number in range(USERS)]
    plans = {text: wanted for user in users for text, wanted in user.plan().items()}
    middleware = ToolRetrieverMiddleware(
        few, toolbox=few_toolbox, allow=lambda caller: {caller.context.verb}
    )
    with OpenAIServer(wants(plans)) as server:
        agent = agent_of(server, middleware=[middleware], checkpointer=saver, context_schema=User)

        def talk(user: User) -> list[str]:
            return [
                agent.invoke({"messages": [("user", text)]}, user.config, context=user)["messages"][
                    -1
                ].text
                for text in user.turns
            ]

        async def atalk(user: User) -> list[str]:
            answers = []
            for text in user.turns:
                ask = {"messages": [("user", text)]}
                answer = await agent.ainvoke(ask, user.config, context=user)
                answers.append(answer["messages"][-1].text)
            return answers

        if asynchronous:
            answers = await asyncio.gather(*map(atalk, users))
        else:
            with ThreadPoolExecutor(USERS) as pool:
                answers = list(pool.map(talk, users))
    assert answers == [[f"Done: {text}" for text in user.turns] for user in users]
    assert sorted(name["id"] for _, name in echo.called) == sorted(plans)
    for user in users:
        requests = requests_of(server, user)
        assert len(requests) >= 4
        for request in requests:
            assert all(name.startswith((user.verb, "discover")) for name in offered(request))
        state = agent.get_state(user.config).values["toolret"]["offered"]
        assert [o["name"] for o in state] == offered(
            max(requests, key=lambda r: len(r["messages"]))
        )[1:]
