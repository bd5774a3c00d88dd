// Apache Kafka's own producer, for `ottla-fuzz client`: java -cp KAFKA-CLIENTS.jar:SLF4J.jar Java.java
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Java {
    public static void main(String[] args) throws Exception {
        var going = new AtomicBoolean(true);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> going.set(false)));
        var properties = new Properties();
        properties.put("bootstrap.servers", System.getenv("OTTLA_FUZZ_BOOTSTRAP"));
        properties.put("enable.idempotence", "true");
        properties.put("linger.ms", "5");
        properties.put("request.timeout.ms", "10000");
        properties.put("max.block.ms", "5000");
        properties.put("delivery.timeout.ms", "60000");
        var topic = System.getenv("OTTLA_FUZZ_TOPIC");
        var producer = new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
        for (long number = 0; going.get(); number++) {
            var value = "record-" + number;
            try {
                producer.send(new ProducerRecord<>(topic, value), (told, error) -> {
                    if (error == null) {
                        System.out.println("ack " + told.partition() + " " + told.offset() + " " + value);
                    }
                });
            } catch (RuntimeException error) {
                System.err.println(error);
            }
            Thread.sleep(3);
        }
    }
}
