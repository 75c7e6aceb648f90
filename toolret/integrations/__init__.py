"""Integrations of other libraries: Anthropic, LangChain, MCP, OpenAI. Import each by module."""
