import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import org.HdrHistogram.Histogram;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.SslConfigs;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own client in the benchmark. What the command line means is in ../README.md. */
public final class Bench {
    private static final int KEYS = 10_000;
    /** The exit code for a shape that a contestant does not have. */
    private static final int NOT_IN_THIS_ONE = 3;

    private final Arguments arguments;
    private final KafkaProducer<byte[], byte[]> producer;
    private final byte[][] values;
    private final byte[][] keys;
    private final LongAdder failed = new LongAdder();
    private final AtomicReference<Exception> firstFailure = new AtomicReference<>();
    /** Learns what became of each record: one object for all of them. */
    private final Callback outcome = (metadata, exception) -> {
        if (exception != null) {
            fail(exception);
        }
    };

    private Bench(Arguments arguments) throws IOException {
        this.arguments = arguments;
        Properties config = new Properties();
        config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments.text("bootstrap", ""));
        config.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
        config.put(ProducerConfig.ACKS_CONFIG, "all");
        config.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, arguments.text("compression", "none"));
        // LZ4's default is the fast one. The default here is 3, which is slower than 1 on readings, and no smaller.
        config.put(ProducerConfig.COMPRESSION_ZSTD_LEVEL_CONFIG, 1);
        config.put(ProducerConfig.MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION, 5);
        config.put(ProducerConfig.RETRIES_CONFIG, Integer.MAX_VALUE);
        config.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, Integer.MAX_VALUE);
        config.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, Integer.MAX_VALUE);
        config.put(ProducerConfig.BATCH_SIZE_CONFIG, (int) arguments.number("batch-size", 16_384));
        config.put(
            ProducerConfig.LINGER_MS_CONFIG,
            arguments.shape().equals("lone") ? 0L : arguments.number("linger-ms", 5));
        config.put(ProducerConfig.BUFFER_MEMORY_CONFIG, arguments.number("buffer-memory", 33_554_432));
        config.put(ProducerConfig.ENABLE_METRICS_PUSH_CONFIG, false);
        if (arguments.has("tls")) {
            config.put(CommonClientConfigs.SECURITY_PROTOCOL_CONFIG, "SSL");
            config.put(SslConfigs.SSL_TRUSTSTORE_TYPE_CONFIG, "PEM");
            config.put(SslConfigs.SSL_TRUSTSTORE_LOCATION_CONFIG, arguments.text("tls", ""));
        }
        producer =
            new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        values = values(arguments);
        keys = arguments.has("keyed") ? new byte[KEYS][] : null;
        if (keys != null) {
            for (int i = 0; i < KEYS; i++) {
                keys[i] = String.format(Locale.ROOT, "%08d", i).getBytes(StandardCharsets.US_ASCII);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        Bench bench = new Bench(arguments);
        switch (arguments.shape()) {
            case "load" -> bench.load();
            case "lone" -> bench.lone();
            case "overload" -> bench.overload();
            default -> System.exit(NOT_IN_THIS_ONE);
        }
    }

    /** The lines of a file, or bytes that no compression on the way makes smaller, the same in every run. */
    private static byte[][] values(Arguments arguments) throws IOException {
        int size = (int) arguments.number("size", 100);
        if (!arguments.has("values")) {
            byte[] noise = new byte[size];
            new Random(1).nextBytes(noise);
            return new byte[][] {noise};
        }
        List<byte[]> values = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(arguments.text("values", "")))) {
            values.add(line.getBytes(StandardCharsets.UTF_8));
        }
        if (values.stream().anyMatch(value -> value.length != size)) {
            throw new IOException("--values: not each line has " + size + " bytes");
        }
        return values.toArray(new byte[0][]);
    }

    /** Sends as fast as the client takes records; send blocks while its buffer is full. */
    private void load() throws Exception {
        long records = arguments.number("records", 1_000_000);
        sendAll(arguments.number("warm-up", 0));
        failed.reset();
        Meter meter = new Meter();
        sendAll(records);
        Measured measured = meter.read();
        print(records, measured, null);
        producer.close();
    }

    private void sendAll(long records) throws InterruptedException {
        int threads = (int) arguments.number("threads", 1);
        List<Thread> others = new ArrayList<>();
        for (int thread = 1; thread < threads; thread++) {
            long first = records * thread / threads;
            long last = records * (thread + 1) / threads;
            Thread other = new Thread(() -> send(first, last));
            other.start();
            others.add(other);
        }
        send(0, records / threads);
        for (Thread other : others) {
            other.join();
        }
        // Returns after the last callback, so nothing has to count them.
        producer.flush();
    }

    private void send(long first, long last) {
        for (long number = first; number < last; number++) {
            producer.send(record(number), outcome);
        }
    }

    private ProducerRecord<byte[], byte[]> record(long number) {
        byte[] key = keys == null ? null : keys[(int) (number % KEYS)];
        byte[] value = values[(int) (number % values.length)];
        return new ProducerRecord<>(arguments.text("topic", ""), key, value);
    }

    /** Sends one record after another, each when the one before it is acknowledged. */
    private void lone() throws Exception {
        long records = arguments.number("records", 10_000);
        oneByOne(arguments.number("warm-up", 0), new Histogram(3));
        failed.reset();
        Histogram latencies = new Histogram(3);
        Meter meter = new Meter();
        oneByOne(records, latencies);
        Measured measured = meter.read();
        print(records, measured, latencies);
        producer.close();
    }

    private void oneByOne(long records, Histogram latencies) throws InterruptedException {
        for (long number = 0; number < records; number++) {
            ProducerRecord<byte[], byte[]> record = record(number);
            long start = System.nanoTime();
            try {
                producer.send(record).get();
            } catch (java.util.concurrent.ExecutionException exception) {
                fail(exception);
            }
            latencies.recordValue(System.nanoTime() - start);
        }
    }

    /** Offers records until the time is over; this thread stands in a full buffer by then. */
    private void overload() throws Exception {
        LongAdder taken = new LongAdder();
        Meter meter = new Meter();
        Thread offering = new Thread(() -> {
            for (long number = 0; ; number++) {
                producer.send(record(number), outcome);
                taken.increment();
            }
        });
        offering.setDaemon(true);
        offering.start();
        Thread.sleep((long) (arguments.real("seconds", 5) * 1000));
        print(taken.sum(), meter.read(), null);
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private void fail(Exception exception) {
        failed.increment();
        firstFailure.compareAndSet(null, exception);
    }

    private static String version() throws IOException {
        Properties properties = new Properties();
        try (InputStream in = KafkaProducer.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(in);
        }
        return properties.getProperty("version");
    }

    private void print(long records, Measured measured, Histogram latencies) throws IOException {
        if (firstFailure.get() != null) {
            System.err.println("java: first failure: " + firstFailure.get());
        }
        System.out.println(
            String.format(
                Locale.ROOT,
                "{\"contestant\":\"java\",\"version\":\"%s\",\"records\":%d,\"failed\":%d,"
                    + "\"seconds\":%.9f,\"user_us\":%d,\"system_us\":%d,\"allocations\":null,"
                    + "\"p50_us\":%s,\"p99_us\":%s,\"p999_us\":%s,\"note\":null}",
                version(),
                records,
                failed.sum(),
                measured.seconds,
                measured.userMicros,
                measured.systemMicros,
                quantile(latencies, 50),
                quantile(latencies, 99),
                quantile(latencies, 99.9)));
    }

    private static String quantile(Histogram latencies, double percentile) {
        return latencies == null
            ? "null"
            : String.format(Locale.ROOT, "%.3f", latencies.getValueAtPercentile(percentile) / 1e3);
    }

    /** The command line: names with values, and names alone. */
    private static final class Arguments {
        private final Map<String, String> values = new HashMap<>();

        Arguments(String[] args) {
            for (int i = 0; i < args.length; i++) {
                if (!args[i].startsWith("--")) {
                    throw new IllegalArgumentException("no such argument: " + args[i]);
                }
                boolean alone = i + 1 == args.length || args[i + 1].startsWith("--");
                values.put(args[i].substring(2), alone ? "" : args[++i]);
            }
        }

        String shape() {
            return text("shape", "load");
        }

        boolean has(String name) {
            return values.containsKey(name);
        }

        String text(String name, String otherwise) {
            return values.getOrDefault(name, otherwise);
        }

        long number(String name, long otherwise) {
            return has(name) ? Long.parseLong(values.get(name)) : otherwise;
        }

        double real(String name, double otherwise) {
            return has(name) ? Double.parseDouble(values.get(name)) : otherwise;
        }
    }

    private record Measured(double seconds, long userMicros, long systemMicros) {}

    /** Time, and the processor time of the whole process. */
    private static final class Meter {
        private final OperatingSystemMXBean system =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        private final long[] ticks;
        private final long processor;
        private final long start;

        Meter() throws IOException {
            // Once before it counts: it loads classes.
            ticks();
            system.getProcessCpuTime();
            ticks = ticks();
            processor = system.getProcessCpuTime();
            start = System.nanoTime();
        }

        Measured read() throws IOException {
            double seconds = (System.nanoTime() - start) / 1e9;
            long micros = (system.getProcessCpuTime() - processor) / 1_000;
            long[] now = ticks();
            long user = now[0] - ticks[0];
            long kernel = now[1] - ticks[1];
            long share = user + kernel == 0 ? micros : micros * user / (user + kernel);
            return new Measured(seconds, share, micros - share);
        }

        /** The process's ticks outside of the kernel, and inside of it. */
        private static long[] ticks() throws IOException {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            // The second field is a name in parentheses, which may have spaces: counted from after it.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            return new long[] {Long.parseLong(fields[11]), Long.parseLong(fields[12])};
        }
    }
}
