//! Requests with one thing each, for the table in the docs.

use tokenweir_llm::dialect::Client;

/// What is asked for, by the words of the docs.
pub(super) struct Probe {
    pub(super) name: &'static str,
    /// Messages or items in place of the plain one.
    turns: Option<&'static str>,
    /// Further fields.
    fields: &'static str,
}

const fn field(name: &'static str, fields: &'static str) -> Probe {
    Probe {
        name,
        turns: None,
        fields,
    }
}

const fn turns(name: &'static str, turns: &'static str) -> Probe {
    Probe {
        name,
        turns: Some(turns),
        fields: "",
    }
}

impl Probe {
    /// The whole request.
    pub(super) fn body(&self, client: Client) -> String {
        let turns = self.turns.unwrap_or(match client {
            Client::Completions => r#""Hi""#,
            _ => r#"{"role":"user","content":"Hi"}"#,
        });
        let comma = if self.fields.is_empty() { "" } else { "," };
        let fields = self.fields;
        match client {
            Client::ChatCompletions => format!(r#"{{"model":"m","messages":[{turns}]{comma}{fields}}}"#),
            Client::Completions => format!(r#"{{"model":"m","prompt":{turns}{comma}{fields}}}"#),
            Client::Responses => format!(r#"{{"model":"m","input":[{turns}]{comma}{fields}}}"#),
            Client::Messages => format!(r#"{{"model":"m","max_tokens":4096,"messages":[{turns}]{comma}{fields}}}"#),
        }
    }
}

pub(super) const CHAT: &[Probe] = &[
    turns("text", r#"{"role":"user","content":"Hi"}"#),
    turns(
        "instructions at the start",
        r#"{"role":"system","content":"Be brief."},{"role":"developer","content":"In English."},{"role":"user","content":"Hi"}"#,
    ),
    turns(
        "instructions later on",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"system","content":"Be brief."},{"role":"user","content":"And?"}"#,
    ),
    turns("`name` of a speaker", r#"{"role":"user","content":"Hi","name":"ann"}"#),
    turns(
        "image, inline",
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}"#,
    ),
    turns(
        "image, by address",
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}"#,
    ),
    turns(
        "`detail` of an image",
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"high"}}]}"#,
    ),
    turns(
        "`input_audio`",
        r#"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]}"#,
    ),
    turns(
        "PDF, inline",
        r#"{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]}"#,
    ),
    turns(
        "file, by id",
        r#"{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}"#,
    ),
    turns(
        "video",
        r#"{"role":"user","content":[{"type":"video_url","video_url":{"url":"https://example.com/a.mp4"}}]}"#,
    ),
    turns(
        "calls and results",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"1"},{"role":"tool","tool_call_id":"c2","content":"2"}"#,
    ),
    turns(
        "a signed thought that comes back",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello","thinking_blocks":[{"type":"thinking","thinking":"Hm","signature":"c2ln"}]},{"role":"user","content":"And?"}"#,
    ),
    turns(
        "a refusal that comes back",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","refusal":"No."},{"role":"user","content":"Why?"}"#,
    ),
    turns(
        "`cache_control`",
        r#"{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}"#,
    ),
    field(
        "`tools`",
        r#""tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]"#,
    ),
    field(
        "`tools`, `strict`",
        r#""tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{},"required":[],"additionalProperties":false}}}]"#,
    ),
    field(
        "`tools`, `custom`",
        r#""tools":[{"type":"custom","custom":{"name":"f"}}]"#,
    ),
    field(
        "`tool_choice`: `none`",
        r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none""#,
    ),
    field(
        "`tool_choice`: `required`",
        r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required""#,
    ),
    field(
        "`tool_choice`: a function",
        r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}}"#,
    ),
    field(
        "`tool_choice`: some of the tools",
        r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}"#,
    ),
    field(
        "`parallel_tool_calls`: `false`",
        r#""tools":[{"type":"function","function":{"name":"f"}}],"parallel_tool_calls":false"#,
    ),
    field(
        "`response_format`: a schema",
        r#""response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}"#,
    ),
    field(
        "`response_format`: any JSON",
        r#""response_format":{"type":"json_object"}"#,
    ),
    field("`reasoning_effort`", r#""reasoning_effort":"low""#),
    field("`reasoning_effort`: `none`", r#""reasoning_effort":"none""#),
    field("`max_completion_tokens`", r#""max_completion_tokens":4096"#),
    field("`temperature` up to 1", r#""temperature":0.5"#),
    field("`temperature` above 1", r#""temperature":1.5"#),
    field("`top_p`", r#""top_p":0.5"#),
    field("`top_k`", r#""top_k":40"#),
    field("`presence_penalty`", r#""presence_penalty":0.5"#),
    field("`frequency_penalty`", r#""frequency_penalty":0.5"#),
    field("`seed`", r#""seed":7"#),
    field("`logprobs`", r#""logprobs":true,"top_logprobs":2"#),
    field("`logit_bias`", r#""logit_bias":{"5":1}"#),
    field("`stop`", r#""stop":["END"]"#),
    field("`stop`, five", r#""stop":["A","B","C","D","E"]"#),
    field("`n`: 2", r#""n":2"#),
    field("`user`", r#""user":"u""#),
    field("`metadata`", r#""metadata":{"a":"b"}"#),
    field("`store`: `true`", r#""store":true"#),
    field("`service_tier`: `flex`", r#""service_tier":"flex""#),
    field("`verbosity`", r#""verbosity":"low""#),
    field(
        "`modalities`: sound",
        r#""modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"}"#,
    ),
    field("`prediction`", r#""prediction":{"type":"content","content":"x"}"#),
    field("`web_search_options`", r#""web_search_options":{}"#),
    field("`stream`", r#""stream":true,"stream_options":{"include_usage":true}"#),
];

pub(super) const COMPLETIONS: &[Probe] = &[
    turns("a prompt", r#""Hi""#),
    turns("several prompts", r#"["Hi","Ho"]"#),
    turns("token numbers", "[1,2,3]"),
    field("`max_tokens`", r#""max_tokens":16"#),
    field("`echo`", r#""echo":true"#),
    field("`suffix`", r#""suffix":"!""#),
    field("`best_of`", r#""best_of":2"#),
    field("`logprobs`", r#""logprobs":2"#),
    field("`logit_bias`", r#""logit_bias":{"5":1}"#),
    field("`stream`", r#""stream":true"#),
];

pub(super) const RESPONSES: &[Probe] = &[
    turns("text", r#"{"role":"user","content":"Hi"}"#),
    field("`instructions`", r#""instructions":"Be brief.""#),
    turns(
        "instructions later on",
        r#"{"role":"user","content":"Hi"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]},{"role":"developer","content":"Be brief."},{"role":"user","content":"And?"}"#,
    ),
    turns(
        "`input_image`, inline",
        r#"{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo="}]}"#,
    ),
    turns(
        "`input_image`, by id",
        r#"{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}"#,
    ),
    turns(
        "`input_file`, inline",
        r#"{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}]}"#,
    ),
    turns(
        "`input_file`, by address",
        r#"{"role":"user","content":[{"type":"input_file","file_url":"https://example.com/a.pdf"}]}"#,
    ),
    turns(
        "calls and results",
        r#"{"role":"user","content":"Hi"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":1}"},{"type":"function_call_output","call_id":"c1","output":"1"}"#,
    ),
    turns(
        "an image in a result",
        r#"{"role":"user","content":"Hi"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo="}]}"#,
    ),
    turns(
        "`reasoning` that comes back",
        r#"{"role":"user","content":"Hi"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"tokenweir:thought:c2ln"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]},{"role":"user","content":"And?"}"#,
    ),
    turns(
        "`item_reference`",
        r#"{"role":"user","content":"Hi"},{"type":"item_reference","id":"msg_1"}"#,
    ),
    field(
        "`tools`, functions",
        r#""tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":false}]"#,
    ),
    field("`tools`, built in", r#""tools":[{"type":"web_search"}]"#),
    field(
        "`tool_choice`: `required`",
        r#""tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":false}],"tool_choice":"required""#,
    ),
    field(
        "`text.format`: a schema",
        r#""text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}"#,
    ),
    field("`text.verbosity`", r#""text":{"verbosity":"low"}"#),
    field("`reasoning.effort`", r#""reasoning":{"effort":"low","summary":"auto"}"#),
    field("`max_output_tokens`", r#""max_output_tokens":4096"#),
    field("`top_logprobs`", r#""top_logprobs":2"#),
    field("`metadata`", r#""metadata":{"a":"b"}"#),
    field("`user`", r#""user":"u""#),
    field("`store`: `true`", r#""store":true"#),
    field("`previous_response_id`", r#""previous_response_id":"resp_1""#),
    field("`background`: `true`", r#""background":true"#),
    field("`truncation`: `auto`", r#""truncation":"auto""#),
    field("`max_tool_calls`", r#""max_tool_calls":3"#),
    field("`include`: reasoning", r#""include":["reasoning.encrypted_content"]"#),
    field("`stream`", r#""stream":true"#),
];

pub(super) const MESSAGES: &[Probe] = &[
    turns("text", r#"{"role":"user","content":"Hi"}"#),
    field("`system`", r#""system":"Be brief.""#),
    turns(
        "image, inline",
        r#"{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}"#,
    ),
    turns(
        "image, by address",
        r#"{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]}"#,
    ),
    turns(
        "PDF, inline",
        r#"{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}]}"#,
    ),
    turns(
        "PDF, by address",
        r#"{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}]}"#,
    ),
    turns(
        "document of text",
        r#"{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"Green"},"title":"T"}]}"#,
    ),
    turns(
        "citations of a document",
        r#"{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"Green"},"citations":{"enabled":true}}]}"#,
    ),
    turns(
        "`search_result`",
        r#"{"role":"user","content":[{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"x"}]}]}"#,
    ),
    turns(
        "`cache_control`",
        r#"{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}"#,
    ),
    turns(
        "calls and results",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"x":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"1"}]}"#,
    ),
    turns(
        "a failed result",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"1","is_error":true}]}"#,
    ),
    turns(
        "an image in a result",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}]}"#,
    ),
    turns(
        "a thought that comes back",
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":"c2ln"},{"type":"text","text":"Hello"}]},{"role":"user","content":"And?"}"#,
    ),
    field("`tools`", r#""tools":[{"name":"f","input_schema":{"type":"object"}}]"#),
    field(
        "`tools`, Anthropic's own",
        r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#,
    ),
    field(
        "`tool_choice`: `any`",
        r#""tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"}"#,
    ),
    field(
        "`disable_parallel_tool_use`",
        r#""tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#,
    ),
    field(
        "`thinking`: a budget",
        r#""thinking":{"type":"enabled","budget_tokens":2048}"#,
    ),
    field("`thinking`: adaptive", r#""thinking":{"type":"adaptive"}"#),
    field("`thinking`: disabled", r#""thinking":{"type":"disabled"}"#),
    field("`output_config.effort`", r#""output_config":{"effort":"low"}"#),
    field(
        "`output_config.format`",
        r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}"#,
    ),
    field("`temperature`", r#""temperature":0.5"#),
    field("`top_p`", r#""top_p":0.5"#),
    field("`top_k`", r#""top_k":40"#),
    field("`stop_sequences`", r#""stop_sequences":["END"]"#),
    field("`stop_sequences`, five", r#""stop_sequences":["A","B","C","D","E"]"#),
    field("`metadata.user_id`", r#""metadata":{"user_id":"u"}"#),
    field("`service_tier`", r#""service_tier":"standard_only""#),
    field("`container`", r#""container":"c1""#),
    field(
        "`context_management`",
        r#""context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}"#,
    ),
    field(
        "`mcp_servers`",
        r#""mcp_servers":[{"type":"url","url":"https://example.com/mcp","name":"m"}]"#,
    ),
    field("`stream`", r#""stream":true"#),
];
