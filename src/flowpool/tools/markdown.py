from flowpool.tools.base import tool


@tool
def to_markdown(source):
    return ""


convertToMD = to_markdown
