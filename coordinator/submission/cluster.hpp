#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fp8cal {

/// Nodes of one partition that are alike.
struct NodeGroup {
  std::string partition;
  bool is_default = false;  ///< the partition of jobs that name none
  std::uint64_t nodes = 0;
  std::uint64_t memory = 0;                 ///< bytes of a node that jobs may have
  std::uint64_t gpus = 0;                   ///< of a node
  std::optional<std::uint64_t> time_limit;  ///< seconds of a job; none: unlimited
};

/// What a job asks of a partition.
struct NodeRequest {
  std::uint64_t nodes = 1;
  std::uint64_t gpus = 0;             ///< of a node
  std::uint64_t memory = 0;           ///< bytes of a node
  std::optional<std::uint64_t> time;  ///< seconds; none: the partition's default
};

/// Arguments with which `sinfo` says what parse_node_groups reads: one line for nodes that are
/// alike, in columns of fixed width (sinfo(1), --Format).
std::vector<std::string> sinfo_arguments();

/// Throws Error naming the line that is not as sinfo_arguments asks for.
std::vector<NodeGroup> parse_node_groups(const std::string& text);

/// GPUs of a Gres list such as "gpu:h100:8(S:0-1),nic:2"; none where it cannot be understood.
std::optional<std::uint64_t> gpus_of_gres(const std::string& gres);

/// Those of partition `name`, or of the default one where it is empty. Throws InputError naming the
/// partitions that there are.
std::vector<NodeGroup> partition_of(const std::vector<NodeGroup>& groups, const std::string& name);

/// Throws InputError where the nodes, all of one partition, are too few or too small.
void check_request(const std::vector<NodeGroup>& partition, const NodeRequest& request);

}  // namespace fp8cal
