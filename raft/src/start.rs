//! Starts a replica, in an order in which nothing is served before it is safe.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use muster_control::LogIndex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bootstrap::{Bootstrap, Found};
use crate::clock::LeaderClock;
use crate::config::ReplicaConfig;
use crate::counters::Counters;
use crate::disk::DiskSpace;
use crate::error::StartError;
use crate::fatal::FatalSignal;
use crate::machine::{Machine, Published, Restored, SnapshotDir};
use crate::peer::{Access, ClientTls, MESSAGE_BYTES_MAX, Network, PeerService, Peers, ServerTls, incoming};
use crate::proposer::{Host, Limits, Proposer};
use crate::proto::peer_server::PeerServer;
use crate::reads::{ReadIndex, Reads};
use crate::settings::{settings, validate};
use crate::standing::Standing;
use crate::store::{Disk, LogStore};
use crate::ticker::Ticker;
use crate::types::Raft;

/// How long peers have to take note that this node stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running replica's parts.
pub(crate) struct Parts {
    pub(crate) config: ReplicaConfig,
    pub(crate) generation: muster_control::Generation,
    pub(crate) raft: Raft,
    pub(crate) log: LogStore,
    pub(crate) standing: Standing,
    pub(crate) published: Arc<Published>,
    pub(crate) proposer: Proposer,
    pub(crate) reads: Reads,
    pub(crate) disk: DiskSpace,
    pub(crate) counters: Arc<Counters>,
    pub(crate) fatal: FatalSignal,
    /// Set once this node has applied everything that was in its log when it started.
    pub(crate) has_recovered: Arc<AtomicBool>,
    /// No new work.
    pub(crate) stopping: CancellationToken,
    /// No answers to peers.
    pub(crate) hanging_up: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// What was checked before the disk is touched.
struct Ready {
    engine_settings: openraft::Config,
    server_tls: ServerTls,
    client_tls: ClientTls,
    listener: TcpListener,
    counters: Arc<Counters>,
    fatal: FatalSignal,
}

/// What was found on the disk.
struct Opened {
    disk: Disk,
    snapshots: SnapshotDir,
    newest: Option<Restored>,
    log: LogStore,
    space: DiskSpace,
}

fn open(config: &ReplicaConfig, counters: Arc<Counters>, fatal: FatalSignal) -> Result<Opened, StartError> {
    let disk = Disk::open(config)?;
    let (snapshots, newest) = SnapshotDir::open(disk.snapshots.clone())?;
    let last = newest.as_ref().and_then(|newest| newest.last);
    let log = LogStore::open(disk.database.clone(), last, config.tuning.tail_cache_bytes, counters, fatal)
        .map_err(|error| StartError::Damaged(error.to_string()))?;
    let space = DiskSpace::new(config.data_dir.clone(), config.tuning.disk_reserve_bytes)
        .map_err(|source| StartError::Disk { context: "ask for the free space".to_owned(), source })?;
    Ok(Opened { disk, snapshots, newest, log, space })
}

/// Starts everything on the current runtime.
pub(crate) async fn start(config: ReplicaConfig) -> Result<Parts, StartError> {
    validate(&config)?;
    let engine_settings = settings(&config)?;
    let server_tls = ServerTls::new(&config.tls, &config.cluster_id, config.node_id)?;
    let client_tls = ClientTls::new(&config.tls, &config.cluster_id)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|source| StartError::Listen { address: config.listen, source })?;
    let ready = Ready {
        engine_settings,
        server_tls,
        client_tls,
        listener,
        counters: Arc::default(),
        fatal: FatalSignal::new(),
    };

    let opening = {
        let (config, counters, fatal) = (config.clone(), Arc::clone(&ready.counters), ready.fatal.clone());
        tokio::task::spawn_blocking(move || open(&config, counters, fatal))
    };
    let opened = opening.await.map_err(|error| StartError::Consensus(error.to_string()))??;
    let log = opened.log.clone();
    let begun = begin(config, ready, opened).await;
    if begun.is_err() {
        tokio::task::spawn_blocking(move || log.close()).await.ok(); // the error that ended the start is the news
    }
    begun
}

/// Takes part, with what was checked and what was found.
async fn begin(mut config: ReplicaConfig, ready: Ready, opened: Opened) -> Result<Parts, StartError> {
    let Ready { engine_settings, server_tls, client_tls, listener, counters, fatal } = ready;
    let Opened { disk, snapshots, newest, log, space } = opened;
    config.members.sort_unstable_by_key(|member| member.node_id);
    let me = (config.node_id, disk.store);
    let peers = Arc::new(Peers::new(client_tls, config.cluster_id.clone(), me, Arc::clone(&counters)));

    let bootstrap = Bootstrap { peers: Arc::clone(&peers), me, configured: config.members.clone() };
    let is_pristine = log.is_pristine() && newest.is_none();
    if is_pristine {
        match bootstrap.look().await {
            Found::Wiped => return Err(StartError::WipedDisk { node_id: config.node_id }),
            Found::Excluded => return Err(StartError::NotAMember { node_id: config.node_id }),
            Found::Awaited | Found::Pristine(_) | Found::Undecided => {}
        }
    }

    let log_end = log.last_index();
    let tuning = &config.tuning;
    let published = Arc::new(Published::new(tuning.notice_backlog, tuning.snapshot_bytes, Arc::clone(&counters)));
    let machine = Machine::open(snapshots.clone(), newest, Arc::clone(&published), fatal.clone());
    let network = Network { peers: Arc::clone(&peers) };
    let raft = Raft::new(config.node_id.get(), Arc::new(engine_settings), network, log.clone(), machine)
        .await
        .map_err(|error| StartError::Consensus(error.to_string()))?;

    let stopping = CancellationToken::new();
    let hanging_up = CancellationToken::new();
    let tasks = TaskTracker::new();
    let standing = Standing::follow(&raft, config.node_id, fatal.clone(), stopping.clone());
    let limits = Limits {
        change_bytes: tuning.change_bytes,
        in_flight: tuning.proposals_in_flight,
        contact: contact_span(tuning.election_max),
    };
    let clock = LeaderClock::new(Arc::clone(&published));
    let proposer = Proposer::new(
        raft.clone(),
        standing.clone(),
        Arc::clone(&peers),
        Host { disk: space.clone(), clock: clock.clone(), counters: Arc::clone(&counters) },
        limits,
        stopping.clone(),
    );
    let read_index = ReadIndex { raft: raft.clone() };
    let reads =
        Reads::start(read_index.clone(), standing.clone(), Arc::clone(&peers), Arc::clone(&counters), stopping.clone());

    let access = Access {
        cluster: config.cluster_id.clone(),
        me,
        configured: config.members.iter().map(|member| member.node_id).collect(),
        standing: standing.clone(),
        counters: Arc::clone(&counters),
    };
    let service = PeerService {
        raft: raft.clone(),
        access,
        standing: standing.clone(),
        proposer: proposer.clone(),
        read_index,
        snapshots: snapshots.clone(),
        disk: space.clone(),
        receiving: Arc::new(Semaphore::new(1)),
    };
    let connections = incoming(listener, server_tls, config.cluster_id.clone(), Arc::clone(&counters), &tasks);
    tasks.spawn(serve(service, connections, hanging_up.clone(), fatal.clone()));

    let has_recovered = Arc::<AtomicBool>::default();
    let background = Background {
        raft: raft.clone(),
        published: Arc::clone(&published),
        has_recovered: Arc::clone(&has_recovered),
        log_end,
        snapshots,
        space: space.clone(),
        stopping: stopping.clone(),
    };
    background.spawn(&tasks);
    let ticker = Ticker {
        raft: raft.clone(),
        standing: standing.clone(),
        proposer: proposer.clone(),
        clock,
        published: Arc::clone(&published),
        disk: space.clone(),
        fatal: fatal.clone(),
    };
    tasks.spawn(stopping.clone().run_until_cancelled_owned(ticker.run()));
    if is_pristine {
        let bootstrapping = bootstrap.run(raft.clone(), fatal.clone());
        tasks.spawn(stopping.clone().run_until_cancelled_owned(bootstrapping));
    }
    tracing::info!(node_id = %config.node_id, generation = %disk.generation, store = %disk.store, "replica started");
    Ok(Parts {
        config,
        generation: disk.generation,
        raft,
        log,
        standing,
        published,
        proposer,
        reads,
        disk: space,
        counters,
        fatal,
        has_recovered,
        stopping,
        hanging_up,
        tasks,
    })
}

/// A leader shows itself every heartbeat; one that has been silent for so long is not in contact.
pub(crate) fn contact_span(election_max: Duration) -> Duration {
    election_max * 2
}

/// Answers peers until told to hang up.
async fn serve(
    service: PeerService,
    connections: impl futures_util::Stream<Item = std::io::Result<crate::peer::PeerStream>>,
    hanging_up: CancellationToken,
    fatal: FatalSignal,
) {
    let service = PeerServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let serving = tonic::transport::Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(16_384)
        // A burst whose time is up gives up all its calls at once. That is no attack, since only members come this
        // far, and to hang up would take the leader from the calls that are still worth answering.
        .http2_max_pending_accept_reset_streams(Some(16_384))
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(3)))
        .add_service(service)
        .serve_with_incoming_shutdown(connections, hanging_up.cancelled());
    let patience = async {
        hanging_up.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        served = serving => if let Err(error) = served {
            fatal.raise(format_args!("serving peers: {error}"));
        },
        () = patience => tracing::debug!("some peers did not hang up in time"),
    }
}

/// Between looks for room for a snapshot.
const ROOM_PAUSE: Duration = Duration::from_secs(30);

/// What goes on beside the traffic.
struct Background {
    raft: Raft,
    published: Arc<Published>,
    has_recovered: Arc<AtomicBool>,
    /// Where the log ended when this node started.
    log_end: LogIndex,
    snapshots: SnapshotDir,
    space: DiskSpace,
    stopping: CancellationToken,
}

impl Background {
    fn spawn(self, tasks: &TaskTracker) {
        let Self { raft, published, has_recovered, log_end, snapshots, space, stopping } = self;
        let mut applied = published.applied();
        tasks.spawn(stopping.clone().run_until_cancelled_owned(async move {
            // Everything this node can have answered before is in that part of the log, or was dropped from its end.
            if applied.wait_for(|applied| *applied >= log_end).await.is_ok() {
                has_recovered.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }));
        tasks.spawn(stopping.run_until_cancelled_owned(async move {
            loop {
                published.snapshot_due().await;
                // Running out of space half-way would stop the node, and at each start again.
                let likely = snapshots.newest_bytes().unwrap_or(0);
                if !space.has_room_for(likely + likely / 4) {
                    tracing::warn!(likely_bytes = likely, "no room for the snapshot that is due");
                    tokio::time::sleep(ROOM_PAUSE).await;
                    continue;
                }
                if raft.trigger().snapshot().await.is_err() {
                    return; // the replica stops
                }
            }
        }));
    }
}
