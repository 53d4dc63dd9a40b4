"""The /infer service as it is usually written in Python: FastAPI, one worker, httpx to Gemini."""
import json
import os

import httpx
from fastapi import FastAPI, Form
from fastapi.responses import PlainTextResponse

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["GOOGLE_GEMINI_BASE_URL"], timeout=60)
model = "gemini-3.8-flash"


@app.get("/")
async def health():
    return {"status": "ok"}


@app.post("/infer", response_class=PlainTextResponse)
async def infer(prompt: str = Form(...), session_id: str = Form("default")):
    text = ""
    body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    headers = {"x-goog-api-key": os.environ["GEMINI_API_KEY"]}
    path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
    async with client.stream("POST", path, json=body, headers=headers) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                for candidate in json.loads(line[6:]).get("candidates", []):
                    for part in candidate.get("content", {}).get("parts", []):
                        text += part.get("text", "")
    return text
