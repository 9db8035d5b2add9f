"""May a call go now? What a provider allows, how that is found, and how it is shared."""
