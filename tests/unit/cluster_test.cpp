#include "coordinator/submission/cluster.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "coordinator/submission/slurm_time.hpp"
#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kGibibyte = std::uint64_t{1} << 30;

/// A line of `sinfo` with the widths that sinfo_arguments asks for.
std::string line(const std::string& partition, const std::string& nodes, const std::string& memory,
                 const std::string& time, const std::string& gres) {
  return fmt::format("{:<256}{:<32}{:<32}{:<32}{:<4096}\n", partition, nodes, memory, time, gres);
}

std::string two_partitions() {
  return line("gpu*", "4", "1031000", "2-00:00:00", "gpu:h100:8(S:0-1)") +
         line("gpu*", "2", "515000", "2-00:00:00", "gpu:a100:4,nic:1") +
         line("cpu", "20", "64000+", "infinite", "(null)");
}

TEST(Gres, CountsGpus) {
  EXPECT_EQ(gpus_of_gres("(null)"), 0u);
  EXPECT_EQ(gpus_of_gres(""), 0u);
  EXPECT_EQ(gpus_of_gres("gpu:8"), 8u);
  EXPECT_EQ(gpus_of_gres("gpu:h100:8(S:0-1)"), 8u);
  EXPECT_EQ(gpus_of_gres("gpu:a100:4(S:0,1),gpu:v100:2,nic:3,shard:16"), 6u);
  EXPECT_EQ(gpus_of_gres("gpu"), 1u);
  EXPECT_EQ(gpus_of_gres("gpu:h100"), 1u);
  EXPECT_EQ(gpus_of_gres("gpus:8"), 0u);
  EXPECT_EQ(gpus_of_gres("gpu:99999999999999999999"), std::nullopt);
  EXPECT_EQ(gpus_of_gres("gpu:8(S:0-1"), 8u);  // cut short at the column's width
  EXPECT_EQ(gpus_of_gres(")gpu:8"), 0u);
}

TEST(SlurmTime, HasSixForms) {
  EXPECT_EQ(parse_slurm_time("90"), 90u * 60);
  EXPECT_EQ(parse_slurm_time("90:30"), 90u * 60 + 30);
  EXPECT_EQ(parse_slurm_time("1:30:15"), 5415u);
  EXPECT_EQ(parse_slurm_time("2-12"), 60u * 3600);
  EXPECT_EQ(parse_slurm_time("2-12:30"), 60u * 3600 + 1800);
  EXPECT_EQ(parse_slurm_time("2-12:30:10"), 60u * 3600 + 1810);
  for (const char* text : {"", "0", "0:00:00", "-1", "1-", "-", "1:2:3:4", "1::2", ":", "1 h", "1h",
                           "1:30:00 ", "infinite", "99999999999999999999", "4000-0", "1-1-1"}) {
    EXPECT_EQ(parse_slurm_time(text), std::nullopt) << text;
  }
}

TEST(NodeGroups, AreReadFromColumns) {
  const std::vector<NodeGroup> groups = parse_node_groups(two_partitions());
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].partition, "gpu");
  EXPECT_TRUE(groups[0].is_default);
  EXPECT_EQ(groups[0].nodes, 4u);
  EXPECT_EQ(groups[0].memory, std::uint64_t{1031000} << 20);
  EXPECT_EQ(groups[0].gpus, 8u);
  EXPECT_EQ(groups[0].time_limit, 172800u);
  EXPECT_EQ(groups[1].gpus, 4u);
  EXPECT_EQ(groups[2].partition, "cpu");
  EXPECT_FALSE(groups[2].is_default);
  EXPECT_EQ(groups[2].memory, std::uint64_t{64000} << 20);
  EXPECT_EQ(groups[2].gpus, 0u);
  EXPECT_EQ(groups[2].time_limit, std::nullopt);
  EXPECT_TRUE(parse_node_groups("\n  \n").empty());
}

TEST(NodeGroups, RefuseOtherLines) {
  for (const std::string& text :
       {std::string("slurm_load_partitions: error\n"), line("", "1", "1", "infinite", ""),
        line("a", "many", "1", "infinite", ""), line("a", "1", "-5", "infinite", ""),
        line("a", "1", "1", "soon", ""), line("a", "1", "1", "infinite", "gpu:70000"),
        line("a", "99999999999999999999", "1", "infinite", "")}) {
    EXPECT_THAT(error_text([&] { parse_node_groups(two_partitions() + text); }),
                HasSubstr("sinfo: line 4: expected"));
  }
}

TEST(Partition, IsTheOneNamedOrTheDefault) {
  const std::vector<NodeGroup> groups = parse_node_groups(two_partitions());
  EXPECT_EQ(partition_of(groups, "").size(), 2u);
  EXPECT_EQ(partition_of(groups, "cpu").size(), 1u);
  EXPECT_THAT(error_text([&] { partition_of(groups, "gpus"); }),
              HasSubstr("unknown partition: expected one of cpu, gpu, found \"gpus\""));
  EXPECT_THAT(error_text([&] { partition_of({groups[2]}, ""); }), HasSubstr("no default"));
}

TEST(Request, FitsOrSaysWhatDoesNot) {
  const std::vector<NodeGroup> gpu = partition_of(parse_node_groups(two_partitions()), "gpu");
  const auto refusal = [&](const NodeRequest& request) {
    return error_text([&] { check_request(gpu, request); });
  };
  EXPECT_NO_THROW(check_request(gpu, {6, 4, 500 * kGibibyte, 172800}));
  EXPECT_NO_THROW(check_request(gpu, {4, 8, 1000 * kGibibyte, std::nullopt}));
  EXPECT_THAT(refusal({7, 4, 0, {}}), HasSubstr("--nodes: more than partition 'gpu' has: expected "
                                                "at most 6, found 7"));
  EXPECT_THAT(refusal({1, 9, 0, {}}), HasSubstr("expected at most 8, found 9"));
  EXPECT_THAT(refusal({5, 8, 0, {}}), HasSubstr("has with 8 GPUs: expected at most 4, found 5"));
  EXPECT_THAT(refusal({1, 1, 2000 * kGibibyte, {}}), HasSubstr("expected at most 1006.8 GiB"));
  EXPECT_THAT(refusal({5, 4, 600 * kGibibyte, {}}),
              HasSubstr("with 600.0 GiB: expected at most 4"));
  EXPECT_THAT(refusal({1, 1, 0, 172860}), HasSubstr("expected at most 2880 minutes, found 2881"));
  const std::vector<NodeGroup> cpu = partition_of(parse_node_groups(two_partitions()), "cpu");
  EXPECT_NO_THROW(check_request(cpu, {20, 0, kGibibyte, 172860}));
  EXPECT_THAT(error_text([&] {
                check_request(cpu, {1, 1, 0, {}});
              }),
              HasSubstr("expected runtime.backend = cpu, since there are none, found 1"));
}

}  // namespace
}  // namespace fp8cal
