//! `muster dev`: a cluster of three on loopback, each node a process of its own.

mod child;
mod layout;
mod readiness;
mod secrets;
mod text;

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::DevArgs;
use crate::failure::{Exit, Failure};
use child::{Ended, Node};
use layout::Layout;

/// Runs `muster dev`: returns when all nodes have stopped.
///
/// # Errors
/// When the directory cannot be filled or a node cannot be started.
pub(crate) async fn run(args: &DevArgs) -> Result<(), Failure> {
    let catch = |kind| signal(kind).map_err(|error| Failure::new(Exit::Other, error));
    let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
    let layout = Layout::new(args.dir.clone(), args.base_port);
    let failed = |error| Failure::new(Exit::Other, error);
    secrets::prepare(&layout).map_err(failed)?;
    let program = program()?;
    let (ends, mut ended) = mpsc::unbounded_channel();
    let mut nodes = Vec::new();
    for node in layout.nodes() {
        nodes.push(Node::start(&program, node, ends.clone()).map_err(failed)?);
    }
    text::started(&nodes);
    let mut starting = std::pin::pin!(readiness::all(&layout));
    let mut is_ready = false;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = &mut starting, if !is_ready => {
                is_ready = true;
                text::ready(&layout);
            }
            Some(end) = ended.recv() => {
                text::died(&end, &program, &layout);
                if args.restart {
                    restart(&mut nodes, &end, &program, &layout, &ends).await?;
                } else if !nodes.iter().any(Node::runs) {
                    return Err(Failure::message(Exit::Other, "no node runs any more"));
                }
            }
        }
    }
    eprintln!("stopping the nodes, one after the other");
    for node in nodes.into_iter().rev() {
        node.stop().await;
    }
    eprintln!("stopped; `muster dev` goes on where it stopped");
    Ok(())
}

/// Starts a node that died again, not faster than one a second.
async fn restart(
    nodes: &mut [Node],
    end: &Ended,
    program: &std::path::Path,
    layout: &Layout,
    ends: &mpsc::UnboundedSender<Ended>,
) -> Result<(), Failure> {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let place = layout.node(end.number);
    let node = Node::start(program, place, ends.clone()).map_err(|error| Failure::new(Exit::Other, error))?;
    eprintln!("node {} started again, pid {}", end.number, node.pid());
    nodes[end.number - 1] = node;
    Ok(())
}

/// This very program.
fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::new(Exit::Other, error))
}
