import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterPartitionReassignmentsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ElectLeadersOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.security.scram.internals.ScramFormatter;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Utils;

/**
 * What the tests ask of Kafka's own clients. A long-lived process, because a JVM takes a second to
 * start: it is given the bootstrap addresses as its one argument, reads one command a line from
 * stdin (fields separated by tabs), answers with any number of lines that start with '=', and ends
 * each answer with the line "ok" or "error", a tab and the reason. It stops at the end of stdin.
 *
 * The one source compiles against the clients of 2.8 as well as 4.x.
 */
public final class Tool {
    /** How long one question to the cluster may take before it is asked anew. */
    private static final int QUESTION_MS = 4000;

    private final String bootstrap;
    private final PrintStream out;
    private Admin admin;

    private Tool(String bootstrap, PrintStream out) {
        this.bootstrap = bootstrap;
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        // Only answers may go to stdout, whatever a library prints.
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        System.setOut(System.err);
        Tool tool = new Tool(args.length > 0 ? args[0] : "", out);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                tool.run(line.split("\t", -1));
                out.print("ok\n");
            } catch (Throwable t) {
                Throwable cause = t instanceof ExecutionException && t.getCause() != null ? t.getCause() : t;
                out.print("error\t" + cause.toString().replaceAll("[\r\n\t]+", " ") + "\n");
            }
            out.flush();
        }
        // Not System.exit after closing the clients: a frozen broker could hold the close up.
        Runtime.getRuntime().halt(0);
    }

    private void run(String[] f) throws Exception {
        switch (f[0]) {
            case "create-topic": createTopic(f); break;
            case "delete-topic": get(admin().deleteTopics(Collections.singleton(f[1])).all()); break;
            case "partitions": partitions(f[1]); break;
            case "lead": lead(f[1], Integer.parseInt(f[2]), Integer.parseInt(f[3])); break;
            case "allow": allow(f); break;
            case "scram": scram(f[1], f[2], Integer.parseInt(f[3])); break;
            case "scram-keys": scramKeys(f); break;
            case "brokers": brokers(); break;
            case "probe": probe(f[1], Integer.parseInt(f[2]), Short.parseShort(f[3])); break;
            case "produce": produce(f); break;
            case "read": read(f[1]); break;
            case "murmur2": murmur2(f); break;
            default: throw new IllegalArgumentException("no such command: " + f[0]);
        }
    }

    private static <T> T get(Future<T> future) throws Exception {
        return future.get(90, TimeUnit.SECONDS);
    }

    private Properties common() {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("request.timeout.ms", "3000");
        p.put("default.api.timeout.ms", "60000");
        p.put("reconnect.backoff.max.ms", "500");
        return p;
    }

    private Admin admin() {
        if (admin == null) {
            admin = Admin.create(common());
        }
        return admin;
    }

    /** create-topic NAME PARTITIONS REPLICATION [KEY VALUE]...; answers once every replica is in sync and every leader leads. */
    private void createTopic(String[] f) throws Exception {
        int partitions = Integer.parseInt(f[2]);
        short replication = Short.parseShort(f[3]);
        Map<String, String> configs = new HashMap<>();
        for (int i = 4; i + 1 < f.length; i += 2) {
            configs.put(f[i], f[i + 1]);
        }
        NewTopic topic = new NewTopic(f[1], partitions, replication).configs(configs);
        get(admin().createTopics(Collections.singleton(topic)).all());
        awaitReplicas(f[1], partitions, replication);
        awaitLeaders(f[1], partitions);
    }

    /** The cluster may know of a leader what the leader itself does not yet: until then it refuses writes. */
    private void awaitLeaders(String topic, int partitions) throws Exception {
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        for (int partition = 0; partition < partitions; partition++) {
            ends.put(new TopicPartition(topic, partition), OffsetSpec.latest());
        }
        // Asked of the leaders, and asked again where one does not lead, or where the broker that is asked
        // who leads does not know the topic yet.
        ask(() -> get(admin().listOffsets(ends).all()));
    }

    private void awaitReplicas(String topic, int partitions, int replication) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        for (;;) {
            String state;
            try {
                List<TopicPartitionInfo> found = describe(topic);
                boolean whole = found.size() == partitions;
                for (TopicPartitionInfo p : found) {
                    whole &= p.leader() != null && p.leader().id() >= 0 && p.isr().size() == replication;
                }
                if (whole) {
                    return;
                }
                state = found.toString();
            } catch (ExecutionException e) {
                // The topic is not yet known to the broker that was asked.
                state = e.getCause().toString();
            }
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("topic " + topic + " not in sync: " + state);
            }
            Thread.sleep(50);
        }
    }

    private interface Question<T> {
        T ask() throws Exception;
    }

    /**
     * Asks again for a while: a broker that has just started does not know its topics yet, and a
     * client that has begun to talk to a frozen broker can stay with it for a minute, so that a new
     * client gets there sooner.
     */
    private <T> T ask(Question<T> question) throws Exception {
        long begin = System.nanoTime();
        for (;;) {
            long limit;
            try {
                return question.ask();
            } catch (ExecutionException | java.util.concurrent.TimeoutException e) {
                if (e.getCause() instanceof UnknownTopicOrPartitionException) {
                    limit = 5;
                } else {
                    limit = 60;
                    admin.close(Duration.ZERO);
                    admin = null;
                }
                if (System.nanoTime() - begin > TimeUnit.SECONDS.toNanos(limit)) {
                    throw e;
                }
            }
            Thread.sleep(50);
        }
    }

    private List<TopicPartitionInfo> describe(String topic) throws Exception {
        return ask(() -> describeOnce(topic));
    }

    /** DescribeTopicsResult.all() is all there is in 2.8, and is gone in 4.0. */
    @SuppressWarnings("unchecked")
    private List<TopicPartitionInfo> describeOnce(String topic) throws Exception {
        Object result = admin().describeTopics(
            Collections.singleton(topic), new DescribeTopicsOptions().timeoutMs(QUESTION_MS));
        Object future;
        try {
            try {
                future = result.getClass().getMethod("allTopicNames").invoke(result);
            } catch (NoSuchMethodException e) {
                future = result.getClass().getMethod("all").invoke(result);
            }
        } catch (InvocationTargetException e) {
            throw new IllegalStateException(e.getCause());
        }
        return get((Future<Map<String, TopicDescription>>) future).get(topic).partitions();
    }

    /** partitions TOPIC: "partition leader replicas isr", the last two comma-separated, leader -1 for none. */
    private void partitions(String topic) throws Exception {
        for (TopicPartitionInfo p : describe(topic)) {
            int leader = p.leader() == null ? -1 : p.leader().id();
            answer(p.partition() + "\t" + leader + "\t" + ids(p.replicas()) + "\t" + ids(p.isr()));
        }
    }

    private static String ids(List<Node> nodes) {
        return nodes.stream().map(Node::idString).collect(Collectors.joining(","));
    }

    /**
     * lead TOPIC PARTITION NODE: puts the node, which has a replica, first among the replicas, and has
     * the controller elect it for that. Does not wait for long.
     */
    private void lead(String topic, int partition, int node) throws Exception {
        TopicPartition it = new TopicPartition(topic, partition);
        List<Integer> replicas = new ArrayList<>(Collections.singleton(node));
        for (Node replica : describe(topic).get(partition).replicas()) {
            if (replica.id() != node) {
                replicas.add(replica.id());
            }
        }
        try {
            get(admin().alterPartitionReassignments(
                Collections.singletonMap(it, Optional.of(new NewPartitionReassignment(replicas))),
                new AlterPartitionReassignmentsOptions().timeoutMs(QUESTION_MS)).all());
            get(admin().electLeaders(ElectionType.PREFERRED, Collections.singleton(it),
                new ElectLeadersOptions().timeoutMs(QUESTION_MS)).all());
        } catch (ExecutionException e) {
            if (e.getCause() instanceof org.apache.kafka.common.errors.TimeoutException) {
                // As in ask: the next question is for a client that is not stuck.
                admin.close(Duration.ZERO);
                admin = null;
            }
            throw e;
        }
    }

    /**
     * allow TOPIC [OPERATION]...: what everybody may do with the topic, instead of what was said of it
     * before; without operations nothing is said any more. Answers once the broker that is asked goes
     * by it, which with a single one is all of them.
     */
    /** Gives a user a password for both SCRAM mechanisms. */
    private void scram(String user, String password, int iterations) throws Exception {
        // One request takes no more than one of a user's.
        for (ScramMechanism mechanism : new ScramMechanism[] {
                ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512}) {
            get(admin().alterUserScramCredentials(Collections.singletonList(
                new UserScramCredentialUpsertion(
                    user, new ScramCredentialInfo(mechanism, iterations), password))).all());
        }
    }

    /**
     * scram-keys MECHANISM ITERATIONS SALT PASSWORD: StoredKey and ServerKey as Kafka's own client derives them
     * (salt and password in hexadecimal).
     */
    private void scramKeys(String[] f) throws Exception {
        org.apache.kafka.common.security.scram.internals.ScramMechanism mechanism =
            org.apache.kafka.common.security.scram.internals.ScramMechanism.forMechanismName(f[1]);
        ScramFormatter formatter = new ScramFormatter(mechanism);
        String password = new String(unhex(f[4]), StandardCharsets.UTF_8);
        byte[] salted = formatter.saltedPassword(password, unhex(f[3]), Integer.parseInt(f[2]));
        answer(hex(formatter.storedKey(formatter.clientKey(salted))));
        answer(hex(formatter.serverKey(salted)));
    }

    private void allow(String[] f) throws Exception {
        ResourcePattern topic = new ResourcePattern(ResourceType.TOPIC, f[1], PatternType.LITERAL);
        AclBindingFilter all = new AclBindingFilter(topic.toFilter(), AccessControlEntryFilter.ANY);
        Set<AclBinding> wanted = new HashSet<>();
        for (int i = 2; i < f.length; i++) {
            wanted.add(new AclBinding(topic, new AccessControlEntry(
                "User:*", "*", AclOperation.fromString(f[i]), AclPermissionType.ALLOW)));
        }
        get(admin().deleteAcls(Collections.singleton(all)).all());
        get(admin().createAcls(wanted).all());
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        for (;;) {
            Set<AclBinding> found = new HashSet<>(get(admin().describeAcls(all).values()));
            if (found.equals(wanted)) {
                return;
            }
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("the broker goes by " + found);
            }
            Thread.sleep(50);
        }
    }

    /** brokers: the ids of the brokers that are registered and not fenced. */
    private void brokers() throws Exception {
        DescribeClusterOptions options = new DescribeClusterOptions().timeoutMs(QUESTION_MS);
        for (Node node : ask(() -> get(admin().describeCluster(options).nodes()))) {
            answer(node.idString());
        }
    }

    /** probe TOPIC PARTITIONS REPLICATION: a whole round: topic, producer id, one record each, topic gone. */
    private void probe(String topic, int partitions, short replication) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (get(admin().describeCluster().nodes()).size() < replication) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("fewer than " + replication + " brokers registered");
            }
            Thread.sleep(50);
        }
        createTopic(new String[] {"", topic, "" + partitions, "" + replication});
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            for (int partition = 0; partition < partitions; partition++) {
                get(producer.send(new ProducerRecord<>(topic, partition, null, new byte[] {1})));
            }
        }
        get(admin().deleteTopics(Collections.singleton(topic)).all());
    }

    private KafkaProducer<byte[], byte[]> producer() {
        Properties p = common();
        p.put("acks", "all");
        p.put("enable.idempotence", "true");
        p.put("delivery.timeout.ms", "60000");
        p.put("key.serializer", ByteArraySerializer.class.getName());
        p.put("value.serializer", ByteArraySerializer.class.getName());
        return new KafkaProducer<>(p);
    }

    /** produce TOPIC PARTITION [VALUE]...: appends by an idempotent producer, answers the offsets. */
    private void produce(String[] f) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 3; i < f.length; i++) {
                sent.add(producer.send(new ProducerRecord<>(f[1], Integer.parseInt(f[2]), null, unhex(f[i]))));
            }
            for (Future<RecordMetadata> future : sent) {
                answer("" + get(future).offset());
            }
        }
    }

    /**
     * read TOPIC: every record from the beginning to the end offsets of now, one line each:
     * "partition offset timestamp key length sha256 value headers". Bytes are hexadecimal, null is
     * "-" (length -1), value is "-" above 256 bytes, headers are comma-separated key=value.
     */
    private void read(String topic) throws Exception {
        Properties p = common();
        p.put("key.deserializer", ByteArrayDeserializer.class.getName());
        p.put("value.deserializer", ByteArrayDeserializer.class.getName());
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("allow.auto.create.topics", "false");
        p.put("check.crcs", "true");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p)) {
            List<TopicPartition> all = new ArrayList<>();
            for (PartitionInfo info : consumer.partitionsFor(topic)) {
                all.add(new TopicPartition(topic, info.partition()));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            long quiet = System.nanoTime();
            while (!reached(consumer, ends)) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    quiet = System.nanoTime();
                    if (record.offset() < ends.get(new TopicPartition(topic, record.partition()))) {
                        print(record);
                    }
                }
                if (System.nanoTime() - quiet > TimeUnit.SECONDS.toNanos(60)) {
                    throw new IllegalStateException("no record for 60 s before the end offsets " + ends);
                }
            }
        }
    }

    private static boolean reached(KafkaConsumer<?, ?> consumer, Map<TopicPartition, Long> ends) {
        for (Map.Entry<TopicPartition, Long> end : ends.entrySet()) {
            if (consumer.position(end.getKey()) < end.getValue()) {
                return false;
            }
        }
        return true;
    }

    private void print(ConsumerRecord<byte[], byte[]> r) throws Exception {
        byte[] value = r.value();
        String sha = value == null ? "-" : hex(MessageDigest.getInstance("SHA-256").digest(value));
        String whole = value == null || value.length > 256 ? "-" : hex(value);
        StringBuilder headers = new StringBuilder();
        for (Header h : r.headers()) {
            headers.append(headers.length() == 0 ? "" : ",");
            headers.append(hex(h.key().getBytes(StandardCharsets.UTF_8))).append('=').append(hex(h.value()));
        }
        answer(r.partition() + "\t" + r.offset() + "\t" + r.timestamp() + "\t" + hex(r.key()) + "\t"
            + (value == null ? -1 : value.length) + "\t" + sha + "\t" + whole + "\t" + headers);
    }

    /** murmur2 PARTITIONS [KEY]...: the partition the producer chooses for each key (hexadecimal). */
    private void murmur2(String[] f) throws Exception {
        int partitions = Integer.parseInt(f[1]);
        for (int i = 2; i < f.length; i++) {
            answer("" + partitionFor(unhex(f[i]), partitions));
        }
    }

    private static int partitionFor(byte[] key, int partitions) throws Exception {
        try {
            Class<?> partitioner = Class.forName("org.apache.kafka.clients.producer.internals.BuiltInPartitioner");
            return (Integer) partitioner.getMethod("partitionForKey", byte[].class, int.class)
                .invoke(null, key, partitions);
        } catch (ClassNotFoundException e) {
            // Before 3.3 this stood in DefaultPartitioner, bound to a Cluster.
            return Utils.toPositive(Utils.murmur2(key)) % partitions;
        }
    }

    private void answer(String line) {
        out.print("=" + line + "\n");
    }

    private static String hex(byte[] bytes) {
        if (bytes == null) {
            return "-";
        }
        StringBuilder s = new StringBuilder(bytes.length * 2);
        for (byte b : bytes) {
            s.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return s.toString();
    }

    private static byte[] unhex(String s) {
        byte[] bytes = new byte[s.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(s.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
