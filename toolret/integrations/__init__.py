"""Other libraries' forms, in and out: LangChain, OpenAI, MCP. Import each from its own module."""
