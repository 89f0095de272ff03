//! ad hoc
use crate::chunks::contract::noise;
use crate::chunks::{Chunks, Lane, PackOptions, open};
use crate::model::{ChunkHash, NewChunk};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

fn one(len: usize) -> NewChunk {
    let b = noise(1, len);
    let bytes = Bytes::from(b);
    NewChunk {
        hash: ChunkHash::of(&bytes),
        data: bytes.chunks(508 << 10).map(|p| bytes.slice_ref(p)).collect(),
        length: len as u32,
    }
}
async fn many(
    chunks: &Arc<dyn Chunks>,
    lane: Lane,
    c: &NewChunk,
    tasks: usize,
    rounds: usize,
    per: usize,
) -> f64 {
    let t = Instant::now();
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            let (chunks, c) = (chunks.clone(), c.clone());
            tokio::spawn(async move {
                for _ in 0..rounds {
                    chunks.append(lane, vec![c.clone(); per]).await.unwrap();
                }
            })
        })
        .collect();
    for a in all {
        a.await.unwrap();
    }
    t.elapsed().as_secs_f64()
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench() {
    let dir = tempfile::TempDir::new_in("/tmp").unwrap();
    let (chunks, _) = open(PackOptions::new(dir.path().join("packs")), &HashMap::new()).unwrap();
    let big = one(1 << 20);
    for (tasks, per) in [(1, 1), (1, 8), (2, 8), (8, 1), (4, 8)] {
        for _ in 0..2 {
            let rounds = 1024 / tasks / per;
            let s = many(&chunks, Lane::Bulk, &big, tasks, rounds, per).await;
            eprintln!("bulk {tasks} tasks x {per} chunks an append: {:.0} MB/s", 1073.7 / s);
        }
    }
    let small = one(4096);
    for tasks in [1, 8, 64, 256] {
        let rounds = 20_000 / tasks;
        let s = many(&chunks, Lane::Small, &small, tasks, rounds, 1).await;
        eprintln!("small {tasks} tasks: {:.0} chunks/s", (rounds * tasks) as f64 / s);
    }
    for len in [4096, 16 << 10, 64 << 10, 1 << 20] {
        let c = one(len);
        let places = chunks.append(Lane::Small, vec![c.clone(); 64]).await.unwrap();
        let mut many = Vec::new();
        let n = if len > 60_000 { 2000 } else { 50_000 };
        for tasks in [1, 64] {
            let t = Instant::now();
            let all: Vec<_> = (0..tasks)
                .map(|_| {
                    let (chunks, places, hash) = (chunks.clone(), places.clone(), c.hash);
                    tokio::spawn(async move {
                        for i in 0..n / tasks {
                            chunks.read(hash, places[i % 64]).await.unwrap();
                        }
                    })
                })
                .collect();
            for a in all {
                a.await.unwrap();
            }
            many.push(n as f64 / t.elapsed().as_secs_f64());
        }
        eprintln!(
            "read {len} bytes: {:.0}/s from 1 task, {:.0}/s from 64; {:.0} MB/s",
            many[0],
            many[1],
            many[1] * len as f64 / 1e6
        );
    }
}
