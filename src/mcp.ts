/** Tools of MCP servers, for `tools` of a chat. */
export {
  type McpClient,
  type McpTool,
  type McpToolsOptions,
  mcpTools,
} from './tools/mcp-tools.js';
