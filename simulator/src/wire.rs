//! Reading and building stanzas: attributes, children, and answers that all kinds of requests share.

use std::borrow::Cow;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server};

/// The server's own address, `s.whatsapp.net`.
pub(crate) fn server_jid() -> Jid {
    Jid::new("", Server::Pn)
}

pub(crate) fn text<'a>(node: &'a Node, key: &str) -> Option<Cow<'a, str>> {
    node.attrs.get(key).map(|value| value.as_str())
}

pub(crate) fn string(node: &Node, key: &str) -> String {
    text(node, key).unwrap_or_default().into_owned()
}

pub(crate) fn is(node: &Node, key: &str, value: &str) -> bool {
    text(node, key).as_deref() == Some(value)
}

pub(crate) fn jid(node: &Node, key: &str) -> Option<Jid> {
    node.attrs.get(key).and_then(|value| value.to_jid())
}

pub(crate) fn children(node: &Node) -> &[Node] {
    node.children().unwrap_or_default()
}

pub(crate) fn child<'a>(node: &'a Node, tag: &str) -> Option<&'a Node> {
    node.get_optional_child(tag)
}

pub(crate) fn bytes(node: &Node) -> &[u8] {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => bytes,
        Some(NodeContent::String(text)) => text.as_bytes(),
        _ => &[],
    }
}

pub(crate) fn child_bytes<'a>(node: &'a Node, tag: &str) -> &'a [u8] {
    child(node, tag).map(bytes).unwrap_or_default()
}

/// A node with bytes as its content.
pub(crate) fn leaf(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

/// A node with other nodes as its content.
pub(crate) fn branch(tag: &'static str, nodes: impl IntoIterator<Item = Node>) -> Node {
    NodeBuilder::new(tag).children(nodes).build()
}

pub(crate) fn empty(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

/// The successful answer to an `<iq>`, from the address that was asked.
pub(crate) fn result(request: &Node, nodes: impl IntoIterator<Item = Node>) -> Node {
    let nodes: Vec<Node> = nodes.into_iter().collect();
    let mut answer =
        NodeBuilder::new("iq").attr("from", asked(request)).attr("type", "result").attr("id", string(request, "id"));
    if !nodes.is_empty() {
        answer = answer.children(nodes);
    }
    answer.build()
}

/// The refusal of an `<iq>`.
pub(crate) fn refusal(request: &Node, code: u16, reason: &'static str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code).attr("text", reason).build();
    NodeBuilder::new("iq")
        .attr("from", asked(request))
        .attr("type", "error")
        .attr("id", string(request, "id"))
        .children([error])
        .build()
}

fn asked(request: &Node) -> Jid {
    jid(request, "to").unwrap_or_else(server_jid)
}

/// The ids in a receipt: its own, and those in its list.
pub(crate) fn receipt_ids(receipt: &Node) -> Vec<String> {
    let mut ids = vec![string(receipt, "id")];
    if let Some(list) = child(receipt, "list") {
        ids.extend(children(list).iter().map(|item| string(item, "id")));
    }
    ids
}
